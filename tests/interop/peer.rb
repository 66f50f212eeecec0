# RPC over RabbitMQ with bunny:
# ruby peer.rb client callback|direct N... | ruby peer.rb server

require "bunny"
require "securerandom"

def fib(n)
  a, b = 0, 1
  n.times { a, b = b, a + b }
  a
end

def client(channel, mode, numbers)
  reply_to = "amq.rabbitmq.reply-to"
  reply_to = channel.queue("", exclusive: true).name if mode == "callback"
  replies = Thread::Queue.new # bunny calls the block in a thread of its own
  channel.basic_consume(reply_to, "", true) { |_, props, body| replies << [props, body] }
  numbers.each do |n|
    id = SecureRandom.uuid
    channel.default_exchange.publish(
      n, routing_key: "rpc_queue", reply_to: reply_to, correlation_id: id
    )
    begin
      props, body = replies.pop
    end until props.correlation_id == id
    puts "#{"#{props.type}: " if props.type}#{body}"
  end
end

def server(channel)
  queue = channel.queue("rpc_queue", durable: true)
  channel.prefetch(1)
  queue.subscribe(manual_ack: true) do |delivery, props, body|
    channel.default_exchange.publish(
      fib(body.to_i).to_s, routing_key: props.reply_to, correlation_id: props.correlation_id
    )
    channel.ack(delivery.delivery_tag)
  end
  puts " [x] Awaiting RPC requests"
  sleep
end

$stdout.sync = true # line by line, through a pipe too
role, mode, *numbers = ARGV
connection = Bunny.new(ENV.fetch("AMQP_URL")).start
channel = connection.create_channel
role == "server" ? server(channel) : client(channel, mode, numbers)
connection.close
