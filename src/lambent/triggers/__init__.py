"""Events on their way to functions: asynchronous invocations, their retries and what becomes of them."""
