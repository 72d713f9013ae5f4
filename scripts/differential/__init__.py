"""The same requests and answers, translated by Hearth and by another translator, and what differs."""
