"""Load on a running cluster: rooms x people x rate, what it cost, and how late it was.

plan       who is in which room, and which message is due when
fleet      the generator's processes, and when each does what
wire         what they are told, and what they say
worker     one of them
crowd        its people
person       one of those
line         that one's WebSocket
tape         what they were shown, and how late
histogram    of latencies, in little memory
judge      what the checker says of it
cost       what the servers used meanwhile
progress   how far it is, on a terminal
report     all of it: for people at a terminal, for programs
page       all of it: HTML
"""
