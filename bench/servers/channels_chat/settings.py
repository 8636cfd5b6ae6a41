"""What Django reads; the layer is the one that Channels advises where loss is allowed: pub/sub."""

import os

SECRET_KEY = "of no use: it signs nothing here"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["channels"]
LOGGING_CONFIG = None
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [("127.0.0.1", int(os.environ["REDIS_PORT"]))]},
    }
}
