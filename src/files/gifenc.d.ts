/** The part of gifenc 1.0.3 that is used; the package has no types of its own. */
declare module 'gifenc' {
  interface GifStream {
    readonly writeFrame: (index: Uint8Array, width: number, height: number, options: { palette: number[][]; delay: number }) => void;
    readonly finish: () => void;
    readonly bytes: () => Uint8Array;
  }
  interface Gifenc {
    readonly GIFEncoder: () => GifStream;
    readonly quantize: (rgba: Uint8Array, maxColors: number) => number[][];
    readonly applyPalette: (rgba: Uint8Array, palette: number[][]) => Uint8Array;
  }
  export const GIFEncoder: Gifenc['GIFEncoder'];
  export const quantize: Gifenc['quantize'];
  export const applyPalette: Gifenc['applyPalette'];
  const commonJs: Gifenc;
  export default commonJs;
}
