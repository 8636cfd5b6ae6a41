"""What an application author meets: the application, its handlers, remotes and channels."""
