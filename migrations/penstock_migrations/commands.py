"""The commands that this package offers to `penstock`, by the entry-point group `penstock.commands`."""

from penstock_migrations._command_line.audit import audit_command as audit
from penstock_migrations._command_line.audit import explain_command as explain
from penstock_migrations._command_line.baseline import baseline
from penstock_migrations._command_line.codemod import codemod
from penstock_migrations._command_line.gate import gate
from penstock_migrations._command_line.phase1 import phase1
from penstock_migrations._command_line.verify import verify

__all__ = ["audit", "baseline", "codemod", "explain", "gate", "phase1", "verify"]
