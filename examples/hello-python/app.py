import platform


def handler(event, context):
    name = event.get("name", "World")
    print(f"saying hello to {name}, {context.get_remaining_time_in_millis()} ms left")
    return {"message": f"Hello, {name}!", "python": platform.python_version()}
