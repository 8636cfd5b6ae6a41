"""Server to server: who the others are, calls of what they offer, and what goes with a call.

protection  how a server is protected from others, as its settings and its keys say
listing     what servers.json and the folder of keys say now
gathering   waits until all servers have started
loads       how much the others have to do
node        a server among its peers: its links, and calls and casts by id
methods     what peers may call here: a table from names to coroutines
under_way   what runs here for others, and what runs beside that nobody waits for
absence     calls to servers that are away
deadline    work with a deadline
context     the request that the running code works for, wherever in the cluster it runs
router      which server runs a request: a function per server type
calls       calls of others' remotes, with the filters round them
remotes     how an author writes them: `app.rpc.chat.chatRemote.add(...)`
"""
