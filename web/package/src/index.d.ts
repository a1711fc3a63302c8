/** What a picture can be. In Node, pixels alone: decode files before. */
export type Picture = ImageData | ImageBitmap | Blob | { data: Uint8Array | Uint8ClampedArray; width: number; height: number };

/** What goes on: bytes while loading, else the name of a stage. */
export interface Progress {
  stage: "program" | "network" | "start" | "decode" | "graph" | "train" | "upsample" | "refine" | string;
  loaded?: number;
  total?: number | null;
}

export interface LoadOptions {
  /** Folder of the program's and the network's files, ending with a slash. Default: where this module is. */
  base?: string | URL;
  /** The network's bytes, instead of its file. */
  weights?: Uint8Array;
  /** Precision of the network's products. Default: `int8`, the faster; masks differ by a few pixels. */
  precision?: "int8" | "f32";
  /** Default: `relaxed` where the browser knows these instructions. */
  instructions?: "auto" | "simd128" | "relaxed";
  /** Whether to work in a worker. Default: where there are workers. */
  worker?: boolean;
  onProgress?: (progress: Progress) => void;
}

export interface FeatureOptions {
  /** Side of the network's input in pixels, 16 to 2048. */
  resolution?: number;
  /** Larger pictures are scaled down. Default: 4,000,000. */
  maxPixels?: number;
  onProgress?: (progress: Progress) => void;
}

/** How to cut. Every option of the library can be given by its name, in camel case. */
export interface ClusterOptions {
  mode?: "object" | "parts" | "objects" | "scene";
  /** Number of parts or clusters. */
  k?: number;
  method?: string;
  objective?: string;
  tau?: number | "none";
  refine?: "guided" | "none" | "bilateral";
  minConfidence?: number;
  maxObjects?: number;
  largestComponent?: boolean;
  seed?: number;
  /** Tolerance of the regions' polygons, in pixels. Default: 0, exact. */
  simplify?: number;
  onProgress?: (progress: Progress) => void;
  [option: string]: unknown;
}

/** COCO's compressed run lengths. */
export interface Rle {
  size: [number, number];
  counts: string;
}

export interface Region {
  label: number;
  kind: string;
  /** The object that a part belongs to. */
  partOf: number | null;
  name: string;
  /** 0 to 1. */
  score: number;
  /** Pixels. */
  area: number;
  /** Left, top, width, height. */
  box: [number, number, number, number];
  /** Each polygon's outer ring, then its holes; corners of pixels. */
  polygons: [number, number][][][];
  rle: Rle;
}

export interface File {
  /** With `/` between folders. */
  name: string;
  bytes: Uint8Array;
}

export interface FileOptions {
  label?: string;
  labels?: string[];
  simplify?: number;
  cocoMasks?: "auto" | "polygon" | "rle" | "rle-list";
  shapes?: "auto" | "polygon" | "mask";
}

export class Features {
  readonly width: number;
  readonly height: number;
  /** Size of what was segmented, relative to the picture. */
  readonly scale: number;
  /** Rows and columns of patches. */
  readonly grid: [number, number];
  readonly seconds: Record<string, number>;
  dispose(): Promise<void>;
}

export class Result {
  readonly width: number;
  readonly height: number;
  /** A label for each pixel, row by row; 0 is background. */
  readonly labels: Uint8Array;
  /** 0 to 1: how cleanly object and background are cut. */
  readonly confidence: number;
  /** The main object's left, top, width and height. */
  readonly box: [number, number, number, number] | null;
  readonly regions: Region[];
  readonly grid: [number, number];
  /** Options without effect. */
  readonly ignored: { option: string; why: string }[];
  readonly seconds: Record<string, number>;
  mask(): Uint8Array;
  file(format: "labels" | "mask" | "overlay" | "cutout" | "json", name?: string): Promise<File>;
  annotations(
    format: "coco" | "yolo" | "voc" | "labelme" | "x-anylabeling" | "cvat" | "label-studio" | "geojson" | "npy" | "npz",
    name?: string,
    options?: FileOptions,
  ): Promise<File[]>;
  dispose(): Promise<void>;
}

export class Segmenter {
  static load(options?: LoadOptions): Promise<Segmenter>;
  readonly identity: { backbone: Record<string, unknown>; instructions: string; version: string };
  readonly palette: Uint8Array;
  features(image: Picture, options?: FeatureOptions): Promise<Features>;
  cluster(features: Features, options?: ClusterOptions): Promise<Result>;
  segment(image: Picture, options?: FeatureOptions & ClusterOptions): Promise<Result>;
  close(): void;
}
