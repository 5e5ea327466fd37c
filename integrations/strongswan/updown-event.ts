/** One call of charon's updown hook, as the stub left it in the spool directory. */
export interface UpdownEvent {
  /** `PLUTO_VERB`: `up-client`, `down-host-v6` and so on. */
  readonly verb: string
  /** `PLUTO_UNIQUEID`: the IKE_SA's number at the time of the call. */
  readonly uniqueId: string
  /** `PLUTO_CONNECTION`: name of the child. */
  readonly child: string
  /** `PLUTO_REQID`. */
  readonly reqId: string
  /** When the hook ran, wall clock, in milliseconds. */
  readonly atMs: number
  /** Every `PLUTO_*` variable that the stub knows. */
  readonly variables: Readonly<Record<string, string>>
}
