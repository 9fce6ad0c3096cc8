"""Models: the catalogue and its files, the llama.cpp engine, ChatLlama, embedders."""
