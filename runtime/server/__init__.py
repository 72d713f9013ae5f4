"""The HTTP server: connections and their limits, access, answers, and the pages about the runtime itself."""
