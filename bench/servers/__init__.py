"""Chats of the same behaviour, each as its library's documentation writes one."""
