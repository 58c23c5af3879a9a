"""What in the recording does a speech-deepfake detector decide on, and is that explanation true?"""

__version__ = "0.1.0"
