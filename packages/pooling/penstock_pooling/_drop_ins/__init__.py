"""The drop-ins for psycopg, psycopg2 and SQLAlchemy."""
