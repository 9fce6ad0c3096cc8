"""A child that can be made to die: everything that ends a process natively, for real.

Run in place of `groundling.models.isolation.child`. A request whose first stop string names
one of `WAYS` is served like any other until its first forward pass, which that way replaces.
To be asked for the tokens of one text ends it, too.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import tempfile
import threading
from collections.abc import Callable

import numpy as np

from groundling.models.calls import Choice, Job, Request, Sink
from groundling.models.context import Context
from groundling.models.engine import Engine
from groundling.models.isolation import child
from groundling.models.vocabulary import Vocabulary


def batch_over_the_limit(context: Context) -> None:
    llama = context.llama
    count = context.batch + 1
    tokens = (ctypes.c_int32 * count)(*[5] * count)
    llama.llama_decode(context._context, llama.llama_batch_get_one(tokens, count))


def sample_without_logits(context: Context) -> None:
    llama = context.llama
    chain = llama.llama_sampler_init_greedy()
    llama.llama_sampler_sample(chain, context._context, 10_000)


def several_threads_in_one_context(context: Context) -> None:
    llama = context.llama

    def decode() -> None:
        while True:
            tokens = (ctypes.c_int32 * 32)(*[5] * 32)
            llama.llama_memory_clear(context._memory, True)
            llama.llama_decode(context._context, llama.llama_batch_get_one(tokens, 32))

    threads = [threading.Thread(target=decode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def freed_while_another_thread_decodes(context: Context) -> None:
    threading.Timer(0.05, context.llama.llama_free, (context._context,)).start()
    while True:
        tokens = (ctypes.c_int32 * 32)(*[5] * 32)
        context.llama.llama_memory_clear(context._memory, True)
        context.llama.llama_decode(context._context, context.llama.llama_batch_get_one(tokens, 32))


def grammar_nested_too_deep(context: Context) -> None:
    llama = context.llama
    vocab = llama.llama_model_get_vocab(context._model)
    llama.llama_sampler_init_grammar(vocab, b"root ::= " + b"(" * 1_000_000, b"root")


def mapped_file_cut_short(context: Context) -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        mapped = mmap.mmap(file.fileno(), 0)
        file.truncate(0)
        np.frombuffer(mapped, np.uint8).sum()


def address_that_is_not_there(context: Context) -> None:
    ctypes.string_at(0)


def out_of_memory(context: Context) -> None:
    # What Linux does to a process then, and what the parent sees of it.
    os.kill(os.getpid(), signal.SIGKILL)


def exit_of_the_whole_process(context: Context) -> None:
    os._exit(3)


def nonsense_in_the_pipe(context: Context) -> None:
    for descriptor in range(3, 16):
        try:
            os.write(descriptor, b"\x04\x00\x00\x00\xff\xff\xff\xff")
        except OSError:
            continue
    threading.Event().wait()


WAYS: dict[str, Callable[[Context], None]] = {
    way.__name__: way
    for way in (
        batch_over_the_limit,
        sample_without_logits,
        several_threads_in_one_context,
        freed_while_another_thread_decodes,
        grammar_nested_too_deep,
        mapped_file_cut_short,
        address_that_is_not_there,
        out_of_memory,
        exit_of_the_whole_process,
        nonsense_in_the_pipe,
    )
}


def main() -> None:
    chosen: list[str] = []
    submit, decode, tokenize = Engine.submit, Context.decode, Vocabulary.tokenize

    def submitting(self: Engine, request: Request | Choice, sink: Sink) -> Job:
        if isinstance(request, Request) and request.stop and request.stop[0] in WAYS:
            chosen.append(request.stop[0])
        return submit(self, request, sink)

    def decoding(self: Context, *arguments: object) -> list[int]:
        if chosen:
            WAYS[chosen.pop()](self)
        return decode(self, *arguments)  # type: ignore[arg-type]

    def tokenizing(self: Vocabulary, text: str, **options: bool) -> list[int]:
        if text == "deadly question":
            os.abort()
        return tokenize(self, text, **options)

    Engine.submit, Context.decode = submitting, decoding  # type: ignore[method-assign]
    Vocabulary.tokenize = tokenizing  # type: ignore[method-assign]
    child.main()


if __name__ == "__main__":
    main()
