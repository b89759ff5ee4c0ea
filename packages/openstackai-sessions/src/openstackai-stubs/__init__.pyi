from openstackai_sessions import Agent as Agent, Runner as Runner
