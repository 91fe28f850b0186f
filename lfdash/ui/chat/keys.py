"""The session keys that the parts of a chat share."""

CURRENT = "chat.conversation"  # the id of the one that is shown
FRESH = "chat.new"  # a conversation in which nothing was asked yet
COMPARED = "chat.compared"  # run ids of the chats that are asked beside the one that is shown
SAID = "chat.said"  # why the last click was refused
UNSENT = "chat.unsent"  # the prompt that was refused, so that it is not typed again
