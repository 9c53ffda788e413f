//! What the log promises, seen from its handle, on a disk that records and fails.

mod bed;
mod check;
mod crash;
mod damage;
mod exchange;
mod fact;
mod failure;
mod ledger;
mod purge;
mod purge_order;
mod quarantine;
mod reading;
mod record;
mod vault;
