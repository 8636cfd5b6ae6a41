"""A client's request at the server that answers it: from where it came in to its one answer.

loader          finds handlers and remotes by their files, at the start
decoding        a message's body as the handler's annotation says
requests        what frontends forward; each gets one answer, whatever a handler does
local_requests  what the clients of this very server ask it, likewise
dispatcher      from a route to a handler, and from what it does to one answer
session_turns   requests of one session that run one at a time
filters         what stands around handlers
buckets         token buckets by session, for one route
"""
