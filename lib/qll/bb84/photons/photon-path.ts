import type { ChannelModel } from '../model/channel-model.ts'

/** Why no photon arrives at the moment. */
export interface DarkPath {
  readonly dark: string
}

/**
 * What lies between the two sites at this moment: the fibre, the air, an eavesdropper. It is asked before each block; a
 * path that is dark (no pass of the satellite, the switch turned elsewhere) is asked again until it is not.
 */
export type PhotonPath = () => ChannelModel | DarkPath
