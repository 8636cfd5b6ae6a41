"""The chat: an ordinary application of zchat, and the proof of it."""
