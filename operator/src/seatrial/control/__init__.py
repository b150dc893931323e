"""The running operator: watching, queueing, reconciling, being observed. Decisions are in `seatrial.rollout`."""
