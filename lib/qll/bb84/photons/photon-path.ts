import type { ChannelModel } from '../model/channel-model.ts'

/** Light for a while. */
export interface LitPath {
  readonly channel: ChannelModel
  /**
   * How long it stays so at most, in milliseconds above 0; then the path is asked again, within a block too. A block may
   * begin in one window and end in a later one.
   */
  readonly forMs: number
}

/** Why no photon arrives at the moment. */
export interface DarkPath {
  readonly dark: string
  /** How long it stays so at least, in milliseconds above 0. Default: it may be over at any time. */
  readonly forMs?: number
  /** True for a gap that the link's rate allows for, as between two turns of a switch: the link is not down for it. */
  readonly planned?: boolean
}

/**
 * What lies between the two sites at this moment: the fibre, the air, an eavesdropper. It is asked before each block; a
 * path that is dark (no pass of the satellite, the switch turned elsewhere) is asked again until it is not.
 */
export type PhotonPath = () => ChannelModel | LitPath | DarkPath
