"""One server of an application at work; nothing else in the framework ties all parts together.

running        its parts, and the order in which they start and stop
course         that order, as two lists of steps
frontend_part  what clients connect to: sockets, sessions, hub and forwarder, tied
owner_part     what owns channels: XPUB, host, and what others may call of it
pulse          how often it looks whether something is due
status         what it shows of itself, in one table
health         whether it can do its work: /healthz
lag            how late the event loop is
footprint      what the process has used so far
"""
