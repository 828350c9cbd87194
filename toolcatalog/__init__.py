"""Tool Catalog: the definitions of operational tools, over PostgreSQL and REST."""

__version__ = "0.1.0"
