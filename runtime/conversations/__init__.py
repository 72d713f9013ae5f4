"""Stored responses: what `/v1/responses` keeps, and how a conversation resumes from it."""
