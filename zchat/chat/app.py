"""The chat application."""

from zchat import Application, by_channel

app = Application(__file__)
app.own_channels("chat", posts="onChat")
app.route("chat", by_channel("rid"))
app.watch("gate", "connector")
app.presence(joined="onAdd", left="onLeave", body=lambda uid, route: {"route": route, "user": uid})
