"""The data plane: every function execution passes `Invoker.invoke`."""
