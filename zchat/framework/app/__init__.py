"""What an author says of an application, once for all of its servers.

project        a project folder's application, found by the name of its module
application    `Application`, with the bases of handlers, remotes and components
plan           what is said of its servers
session_rules  what is said of sessions
parts          what a server is made of that can be wrapped or replaced
lifecycle      lists of steps, each with a name that the log shows
components     the application's own long-lived parts
neighbours     what it wants to know of the other servers: who came, went, is busy
"""
