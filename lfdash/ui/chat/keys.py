"""The session keys that the parts of a chat share."""

from lfdash.ui.launch.after import COMPARED as COMPARED  # set where two runs are tried side by side
from lfdash.ui.launch.after import COMPARED_WITH as COMPARED_WITH

CURRENT = "chat.conversation"  # the id of the one that is shown
FOLLOWED = "chat.followed"  # run id of the chat whose conversation was shown last
FRESH = "chat.new"  # a conversation in which nothing was asked yet
SAID = "chat.said"  # why the last click was refused
UNSENT = "chat.unsent"  # the prompt that was refused, so that it is not typed again
