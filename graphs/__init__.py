"""The state machines, one file per graph; `registry` names them."""
