"""Load on a running cluster: rooms x people x rate, what it cost, and how late it was.

fleet      the generator's processes, and when each does what
worker     one of them: people, and what they are told
crowd        the people of one process
line         one of them: a WebSocket
tape         what they were shown, and how late
judge      what the checker says of it
cost       what the servers used meanwhile
report     all of it: for people at a terminal, for programs
page       all of it: HTML
"""
