"""Jobs: durable, watched, cancellable work on many items (the engine), and the kinds of them."""
