// The published packages of Uppy as a page uses them, for tests/browser/test_uppy.py.
import AwsS3 from "@uppy/aws-s3";
import Uppy from "@uppy/core";
import GoldenRetriever from "@uppy/golden-retriever";

Object.assign(globalThis, { AwsS3, GoldenRetriever, Uppy });
