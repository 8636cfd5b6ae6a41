"""Clients and their sessions: how they come in, who they are, and what any server may do with them.

entrance         what an author says of clients that want to come in
authentication   from a handshake to the application's word on who it is
newcomers        who has said who it is, until it is signed in
greeting         how clients are greeted
wire             what config/ says about the client wire: route codes, schemas
logins           which sessions may be bound to one uid at the same time
backend_session  a session as handlers and remotes see it, on any server
sessions         `app.sessions`: everybody's, from any server
orders           what any server may ask a frontend to do with its sessions
owner_orders     what owners of channels order a frontend to do with them
hooks            what an application does when a session is bound or closes
notices          how backends hear of that
acquaintances    the sessions that a backend was told of, each known once
"""
