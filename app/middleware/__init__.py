"""Guard and fact checker for anybody's LangChain agent, as `AgentMiddleware`."""
