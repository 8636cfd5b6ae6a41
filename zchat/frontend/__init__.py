"""What holds client sockets: the sessions behind them, what they ask, and their channels.

sockets/          the connections themselves; knows nothing of what stands beside it
session           what a frontend knows of one client connection beyond its socket
session_settings  the settings of one session, and which copies of them are stale
standing          where a member stands in its channel
dialect           what the clients of one frontend speak
forwarder         from a client's message to one answer
lane              what one session asked of one server type, in order
hub               from one frame per channel to the sockets of its members here
local_channel     a channel as one frontend keeps it
fanout            one write per member and turn of the loop
publications      on their way from owners to members
roster            whom the members of a channel here have been told of
rosters           how rosters follow the owners' member lists
telling           who came and who went, on its way to the members
pending_joins     ordered in by an owner that has not told it yet
refusals          answered with an error, for owners that hear of it too late
resync            keeps channels here and their owners agreed
losses            sessions in a channel no more, on their way to its owner
answers           what a frontend claims from owners, and what they answer
"""
