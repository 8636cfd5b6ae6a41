"""The tutorial's consumer behind its URL: what uvicorn calls `channels_chat.asgi:application`."""

from __future__ import annotations

import json
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.servers.channels_chat.settings")

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path


class Chat(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One member of the room that the URL names."""

    async def connect(self) -> None:
        self.group = f"chat_{self.scope['url_route']['kwargs']['room']}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data: str) -> None:  # type: ignore[override]
        said = json.loads(text_data)
        body = {"msg": said["msg"], "from": said["from"], "target": said["target"]}
        await self.channel_layer.group_send(self.group, {"type": "chat.message", "body": body})

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(event["body"]))


application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([re_path(r"^ws/(?P<room>\w+)$", Chat.as_asgi())]),
    }
)
