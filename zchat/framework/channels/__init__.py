"""Channels: at most one owner each, whose word on members and on order all other servers take.

channel         a room as authors use it: the verbs, on any server
channels        `app.channels`: the way to the owners of rooms
convoy          calls to one channel that keep their order while the channel moves
host            the owner's side: what a worker does for the channels that are its own
owned_channels  their life: opened, known in full, let go
turns           first come, first served, per channel
admission       how sessions come in and go
joins           joins ordered at a frontend, whose token has not come yet
departures      sessions put out by orders that may have been lost
frontends       what frontends say to owners: which members they have, what they lack
link_tokens     by which a frontend proves that publications reach it
voice           what an owner tells all frontends of a channel
taking          when an owner may speak for channels that it has just taken
readable        the journal for somebody who waits for an answer
membership      which servers own channels, and the ring made of them
journal_ring    the ring as a row of the journal, for owners
heard_ring      the ring as everybody else hears of it
ring_keeper     keeps a server's ring up to date, wherever it comes from
"""
