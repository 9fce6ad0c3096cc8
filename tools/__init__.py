"""Tools that a model may call, one LangChain tool per file; empty until the agent needs them."""
