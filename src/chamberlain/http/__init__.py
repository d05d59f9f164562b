"""The edge: endpoints, how a request finds one, and how its answer or its error becomes bytes."""
