"""The commands that this package offers to `penstock`, by the entry-point group `penstock.commands`."""

from penstock_migrations._audit_command import audit_command as audit
from penstock_migrations._audit_command import explain_command as explain
from penstock_migrations._codemod_command import codemod
from penstock_migrations._gate_command import gate
from penstock_migrations._phase1_command import phase1
from penstock_migrations._verify_command import verify

__all__ = ["audit", "codemod", "explain", "gate", "phase1", "verify"]
