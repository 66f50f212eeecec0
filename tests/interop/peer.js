// RPC over RabbitMQ with amqplib:
// node peer.js client callback|direct N... | node peer.js server

const { randomUUID } = require("crypto");
const { EventEmitter, once } = require("events");
const amqp = require("amqplib");

function fib(n) {
  let [a, b] = [0n, 1n]; // a Number is exact up to fib(78) only
  for (let i = 0; i < n; i++) [a, b] = [b, a + b];
  return a;
}

async function client(channel, mode, numbers) {
  let replyTo = "amq.rabbitmq.reply-to";
  if (mode === "callback") replyTo = (await channel.assertQueue("", { exclusive: true })).queue;
  const replies = new EventEmitter();
  const onReply = (reply) => replies.emit(reply.properties.correlationId, reply);
  await channel.consume(replyTo, onReply, { noAck: true });
  for (const n of numbers) {
    const correlationId = randomUUID();
    channel.sendToQueue("rpc_queue", Buffer.from(n), { replyTo, correlationId });
    const [reply] = await once(replies, correlationId);
    console.log((reply.properties.type ? `${reply.properties.type}: ` : "") + reply.content);
  }
}

async function server(channel) {
  await channel.assertQueue("rpc_queue", { durable: true });
  await channel.prefetch(1);
  await channel.consume("rpc_queue", (request) => {
    const { replyTo, correlationId } = request.properties;
    const response = fib(Number(request.content)).toString();
    channel.sendToQueue(replyTo, Buffer.from(response), { correlationId });
    channel.ack(request);
  });
  console.log(" [x] Awaiting RPC requests");
}

async function main(role, mode, ...numbers) {
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  if (role === "server") return server(channel);
  await client(channel, mode, numbers);
  await connection.close();
}

main(...process.argv.slice(2));
