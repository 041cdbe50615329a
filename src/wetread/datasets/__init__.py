"""Images with labels as trainers read them: YOLO, COCO and Pascal VOC."""
