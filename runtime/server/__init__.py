"""The door: ASGI, authentication, limits, the life of a request, and what the runtime says of itself."""
