"""Prints the level, the name and the value of each socket option that is set from now on."""

import socket

setsockopt = socket.socket.setsockopt


def print_and_set(sock, *option):
    print(option)
    setsockopt(sock, *option)


socket.socket.setsockopt = print_and_set
