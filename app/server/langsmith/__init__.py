"""The part of LangSmith's HTTP interface that its SDK uses, on the local store."""
