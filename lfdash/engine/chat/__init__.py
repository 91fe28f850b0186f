"""Chats: runs that answer. Where they listen, how they are asked, what was said, and when they end by themselves."""
