from openstackai_sessions import Agent as Agent
from openstackai_sessions import Runner as Runner
