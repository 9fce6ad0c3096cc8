"""llama.cpp's own server in this process: `python llama_server.py MODEL [KEY]`.

It prints its address and serves until its input ends, so that it never outlives the test
run that started it.
"""

import sys

import xllamacpp


def main(model: str, key: str = "") -> None:
    wishes = xllamacpp.CommonParams()
    wishes.model.path = model
    wishes.hostnames, wishes.port = ["127.0.0.1"], 0
    wishes.n_ctx, wishes.n_parallel = 4096, 2
    wishes.cpuparams.n_threads = 2
    wishes.warmup = False
    wishes.use_jinja = True
    wishes.endpoint_slots = True
    if key:
        wishes.api_keys = [key]
    server = xllamacpp.Server(wishes)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
